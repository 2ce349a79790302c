/** Values in a query are text: the schemas that make numbers and switches of it. */
import * as v from "valibot";

/** `true`, `1` or nothing after the name; `false` or `0`. */
export const flag = v.pipe(
  v.picklist(["true", "1", "", "false", "0"], "expected true or false"),
  v.transform((text) => text !== "false" && text !== "0"),
);

export function whole(min: number, max: number) {
  const message = `expected a whole number from ${min} to ${max}`;
  return v.pipe(
    v.string(),
    v.regex(/^\d{1,15}$/, message),
    v.transform(Number),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}
