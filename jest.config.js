const { availableParallelism } = require('node:os')

// Every test file gets a database of its own (test/support/database.ts) on the one Postgres, and the one Temporal server, that globalSetup starts.
/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
        module: { type: 'commonjs' },
      },
    ],
  },
  resolver: '<rootDir>/test/support/resolver.js',
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.savefile'],
  testSequencer: '<rootDir>/test/support/sequencer.js',
  // Most files wait for processes and servers more than they compute: jest's own choice, a core less than there are, leaves a core idle.
  maxWorkers: Math.max(2, availableParallelism() + 1),
  testTimeout: 60_000,
}
