/** One server-sent event as it goes over the wire; `delta` where it carries content. */
export interface Frame {
  wire: string
  delta: boolean
}
