/** The production worker, with a model of the bench's own in the same process. */
import './in-process-model'
import '../workers/main'
