/** Facts that build.ts writes into the executable with `--define`; from source they say so. */
declare const LINKSPAN_VERSION: string | undefined;
declare const LINKSPAN_COMMIT: string | undefined;
declare const LINKSPAN_TARGET: string | undefined;

export const VERSION = typeof LINKSPAN_VERSION === "string" ? LINKSPAN_VERSION : "0.0.0-source";
export const COMMIT = typeof LINKSPAN_COMMIT === "string" ? LINKSPAN_COMMIT : "none";
/** `linux-x64`, `darwin-arm64`, … or `source` when not compiled. */
export const TARGET = typeof LINKSPAN_TARGET === "string" ? LINKSPAN_TARGET : "source";
export const COMPILED = TARGET !== "source";
