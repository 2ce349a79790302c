import { join } from "node:path";

/** The compiled executable under test: `LINKSPAN_BINARY`, else the one that `npm test` has built. */
export const BINARY = process.env.LINKSPAN_BINARY ?? join(import.meta.dir, "../../dist/linkspan");
