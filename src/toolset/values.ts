/**
 * Values of environment variables are in no answer, wherever they turn up: programs print what they were given, and
 * commands repeat it. Pure.
 */

/** Shorter values are words like `true` and `8080`, and would take half of a log away. */
const VALUE_CHARS_MIN = 6;

/** Replaces what the variables (`NAME=value`) say. Longest first, so that no part of a longer one is left. */
export function redactor(variables: readonly string[] | null | undefined): (text: string) => string {
  const values = (variables ?? [])
    .map((variable) => variable.slice(variable.indexOf("=") + 1))
    .filter((value) => value.length >= VALUE_CHARS_MIN)
    .toSorted((a, b) => b.length - a.length);
  return (text) => values.reduce((rest, value) => rest.replaceAll(value, "***"), text);
}
