/** Points in time as tools take them. */
import * as v from "valibot";
import { parseDuration } from "../model/units.ts";

/** `10m` (ago), `2026-01-02T03:04:05Z`, or unix seconds → unix seconds. */
export const moment = v.optional(
  v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.maxLength(64))]),
    v.description("10m (ago), an ISO 8601 time, or unix seconds"),
    v.transform(momentOf),
    v.number("expected 10m (ago), an ISO 8601 time, or unix seconds"),
    v.minValue(0),
  ),
);

export function momentOf(input: number | string): number {
  if (typeof input === "number") return input;
  const ago = parseDuration(input);
  if (ago !== undefined) return Math.max(0, (Date.now() - ago) / 1000);
  return /^\d{1,12}(\.\d{1,9})?$/.test(input) ? Number(input) : Date.parse(input) / 1000;
}
