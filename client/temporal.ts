/** The connection to Temporal of whoever is no worker: the client, `reconcile`, `doctor`. */
import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client'
import type { TemporalSettings } from './addresses'

/** A Temporal that is away is noticed within half a second, and found again within five. */
const RETRY = { maxAttempts: 3 }
const MAX_RECONNECT_MS = 5_000

/** A connection that is opened by its first use, so that being away is no reason not to start. */
export function lazyTemporal(settings: TemporalSettings): Client {
  const { address, namespace = 'default', apiKey, tls, metadata } = settings
  const connection = Connection.lazy({
    address,
    interceptors: [makeGrpcRetryInterceptor(defaultGrpcRetryOptions(RETRY))],
    channelArgs: { 'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS },
    ...(apiKey ? { apiKey } : {}),
    ...(tls === undefined ? {} : { tls }),
    ...(metadata ? { metadata } : {}),
  })
  return new Client({ connection, namespace })
}
