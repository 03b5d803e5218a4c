import { describeCases } from './cases'

describeCases(1)
