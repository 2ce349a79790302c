/** The labels by which containers remember whose they are (features.md §2). */
export const LABEL = {
  managedBy: "managed-by",
  service: "mcp-service",
  session: "mcp-session",
  /** Unix seconds. */
  started: "mcp-started",
  instance: "linkspan.instance",
  /** By which others find out whether the owner is gone (owner.ts). */
  owner: "linkspan.owner",
  server: "linkspan.server",
  spec: "linkspan.spec",
  /** Milliseconds for which it runs on without a sign of its owners, or `none`. */
  lease: "linkspan.lease",
  /** From this and the manager's key the bridge's token is derived again after a restart. */
  nonce: "linkspan.nonce",
  /** The spec without its secrets, readable with the manager's key only: what a manager without state starts again from. */
  sealed: "linkspan.sealed",
  /** On volumes that hold the bridge: its version. */
  bridge: "linkspan.bridge",
  /** On containers that are never started and only carry a volume. */
  carrier: "linkspan.carrier",
  /** On containers in which packages are installed or images are put together, and on those images: the maker (owner.ts). */
  build: "linkspan.build",
  /** On the image that carriers are made from. */
  blank: "linkspan.blank",
} as const;

export const MANAGED_BY = "linkspan";
