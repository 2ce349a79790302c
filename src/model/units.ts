/** Sizes and durations as people write them, as valibot schemas that yield bytes and milliseconds. */
import * as v from "valibot";

const SIZE = /^(\d+(?:\.\d+)?)\s*(b|k|kb|kib|m|mb|mib|g|gb|gib)?$/i;
const SIZE_UNITS: Record<string, number> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/i;
const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `536870912`, `512m`, `512MiB`, `1.5g` → bytes. As Docker does, `m` and `MB` are powers of 1024. */
export function parseBytes(input: string): number | undefined {
  const match = SIZE.exec(input.trim());
  if (!match) return undefined;
  const unit = (match[2] ?? "b").charAt(0).toLowerCase();
  return Math.round(Number(match[1]) * (SIZE_UNITS[unit] ?? 1));
}

/** `1500ms`, `30s`, `5m`, `1h` → milliseconds. A bare number is refused: its unit would be a guess. */
export function parseDuration(input: string): number | undefined {
  const match = DURATION.exec(input.trim());
  if (!match) return undefined;
  return Math.round(Number(match[1]) * (DURATION_UNITS[(match[2] ?? "ms").toLowerCase()] ?? 1));
}

/** A size between the bounds, given as a number of bytes or as text with a unit. `words`: what a JSON Schema of the input says. */
export function byteSize(min: number, max: number, words = "Such as 512m or 1g; a number is bytes") {
  return v.pipe(
    v.union([v.number(), v.string()]),
    v.description(words),
    v.transform((input) => (typeof input === "number" ? input : (parseBytes(input) ?? Number.NaN))),
    v.number("expected a size such as 512m, 1g or a number of bytes"),
    v.integer("expected a whole number of bytes"),
    v.minValue(min, `expected at least ${min} bytes`),
    v.maxValue(max, `expected at most ${max} bytes`),
  );
}

/** A duration between the bounds, given as a number of milliseconds or as text with a unit. `words`: see above. */
export function duration(minMs: number, maxMs: number, words = "Such as 30s or 5m; a number is milliseconds") {
  return v.pipe(
    v.union([v.number(), v.string()]),
    v.description(words),
    v.transform((input) => (typeof input === "number" ? input : (parseDuration(input) ?? Number.NaN))),
    v.number("expected a duration such as 500ms, 30s or 5m"),
    v.minValue(minMs, `expected at least ${minMs} ms`),
    v.maxValue(maxMs, `expected at most ${maxMs} ms`),
  );
}
