import { describeCases } from './cases'

describeCases(2)
