/**
 * JSON is parsed at any depth, but written, compared and walked by functions that call themselves. What is nested deeper
 * than this was written by nobody, and is refused where it comes in, before it ends a stack somewhere else.
 */
export const DEPTH_MAX = 512;

/** Whether parsed JSON is nested deeper than `max` levels. */
export function isTooDeep(value: unknown, max = DEPTH_MAX): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (max === 0) return true;
  for (const one of Array.isArray(value) ? value : Object.values(value)) if (isTooDeep(one, max - 1)) return true;
  return false;
}
