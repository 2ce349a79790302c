/** The engine's list filters, as tools take them. */
import * as v from "valibot";

const word = v.pipe(v.string(), v.maxLength(512));

/** `{"status": "running", "label": ["a=b", "c"]}` */
export const filters = v.optional(
  v.pipe(
    v.record(
      v.pipe(v.string(), v.regex(/^[a-zA-Z][a-zA-Z-]{0,31}$/)),
      v.union([word, v.pipe(v.array(word), v.maxLength(64))]),
    ),
    v.description('The engine\'s own filters, such as {"status": "running", "label": ["app=web"]}'),
  ),
);
type Asked = v.InferOutput<typeof filters>;

/** Each filter as a list. */
export function filterLists(asked: Asked): Record<string, string[]> {
  return Object.fromEntries(Object.entries(asked ?? {}).map(([key, value]) => [key, [value].flat()]));
}

/** As the engine's query wants them; undefined where there are none. */
export function filterQuery(asked: Asked): string | undefined {
  return asked && JSON.stringify(filterLists(asked));
}
