/** Configurations as people have them, for random tests: any layout, with comments wherever the format allows one. */
import fc from "fast-check";

/** Where the entries are in a document: not at all, in an empty place, or among others. */
type Place = "none" | "empty" | "others";
const place = fc.constantFrom<Place>("none", "empty", "others");
const key = fc
  .stringMatching(/^[a-z][a-z0-9_-]{0,6}$/)
  .filter((name) => !["servers", "ours", "list", "one", "two", "z", "zz"].includes(name));
const words = fc.string({ unit: fc.constantFrom(..."ab {}[],:#'\"\\/*=-\tü😀"), maxLength: 12 });
const keys = fc.uniqueArray(key, { maxLength: 4 });
const eol = fc.constantFrom("\n", "\r\n");

/** A generator of choices inside one document: fast-check shrinks the list. */
interface Choice {
  /** One of `count`. */
  of(count: number): number;
  text(): string;
}

const choices = fc
  .tuple(
    fc.array(fc.nat({ max: 9999 }), { minLength: 40, maxLength: 80 }),
    fc.array(words, { minLength: 5, maxLength: 9 }),
  )
  .map(([numbers, texts]): Choice => {
    let at = 0;
    const next = () => numbers[at++ % numbers.length] ?? 0;
    return { of: (count) => next() % count, text: () => texts[next() % texts.length] ?? "" };
  });

const pick = <T>(choice: Choice, ...from: T[]): T => {
  const found = from[choice.of(from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
};
/** What may stand in a comment of any of the formats. */
const remark = (choice: Choice) => choice.text().replaceAll(/[*\t\\]/g, ".");

export const jsonDocument = fc.tuple(choices, place, keys, keys, eol).map(([choice, where, above, below, end]) => {
  const gap = () =>
    pick(choice, "", " ", "\n", "\n    ", "\t", ` /* ${remark(choice)} */ `, ` // ${remark(choice)}\n`, "\n\n  ");
  const comma = () => pick(choice, "", "", ",");
  const scalar = () => pick(choice, "1", "-2.5e3", "true", "null", JSON.stringify(choice.text()), "[]", "{}");
  const object = (members: string[]) =>
    members.length === 0 ? `{${gap()}}` : `{${gap()}${members.join(`${gap()},${gap()}`)}${gap()}${comma()}${gap()}}`;
  const member = (name: string, value: string) => `${JSON.stringify(name)}${gap()}:${gap()}${value}`;
  const some = (names: string[]) =>
    names.map((name) => member(name, pick(choice, scalar(), object([member("x", scalar())]))));
  const servers = object(where === "others" ? some(["one", ...below]) : []);
  const members = [...some(above), ...(where === "none" ? [] : [member("servers", servers)])];
  const text = `${pick(choice, "", "", "\uFEFF")}${gap()}${object(members)}${gap()}`;
  return text.replaceAll("\n", end);
});

export const tomlDocument = fc.tuple(choices, place, keys, keys, eol).map(([choice, where, above, below, end]) => {
  const comment = () => pick(choice, "", "", ` # ${remark(choice)}`);
  const between = () => pick(choice, "", "\n", `# ${remark(choice)}\n`, "\n\n  # x\n");
  const value = () =>
    pick(
      choice,
      "1",
      "true",
      "1979-05-27",
      JSON.stringify(choice.text()),
      `'''\n[servers.ours]\n# no\n'''`,
      "[ 1,\n  2, # c\n]",
      "{ a = 1 }",
    );
  const pairs = (names: string[]) =>
    names.map((name) => `${between()}${name} =${pick(choice, " ", "")}${value()}${comment()}\n`).join("");
  const others = where === "others" ? `${between()}[servers.one]${comment()}\n${pairs(below)}${between()}` : "";
  const empty = where === "empty" ? `[servers]${comment()}\n${between()}` : "";
  const tables = pick(choice, "", `[[list]]\na = 1\n[[list]]\n`, `[z.y] # z\nb = 2\n`);
  const text = `${pairs(above)}${empty}${others}${tables}${between()}`;
  return pick(choice, text, text, text.replace(/\n$/, "")).replaceAll("\n", end);
});

export const yamlDocument = (list: boolean) =>
  fc.tuple(choices, place, keys, keys, eol).map(([choice, where, above, below, end]) => {
    const comment = () => pick(choice, "", "", ` # ${remark(choice)}`);
    const between = () => pick(choice, "", "", "\n", `# ${remark(choice)}\n`, "   # x\n");
    const unit = pick(choice, "  ", "    ");
    const scalar = (indent: string) =>
      pick(
        choice,
        " 1",
        " plain text",
        ` ${JSON.stringify(choice.text())}`,
        " 'it''s'",
        `${comment()} |\n${indent}${unit}a: b # no\n\n${indent}${unit}c`.replace(/^ #.*? \|/, " |"),
        " { a: 1, b: [x] }",
        " [a, b]",
      );
    const pair = (name: string, indent: string) =>
      `${between()}${indent}${name}:${scalar(indent)}${pick(choice, "", "", " # c").replace(/^.*/, (text) => text)}\n`;
    const safe = (text: string) => text.replaceAll(/(\|\n(?:.*\n)*?.* c) # c\n/g, "$1\n");
    const top = above.map((name) => safe(pair(name, ""))).join("");
    const inner = (indent: string) =>
      list
        ? ["one", ...below]
            .map((name) => `${between()}${indent}- name: ${name}${comment()}\n${indent}  command: x\n`)
            .join("")
        : ["one", ...below].map((name) => safe(pair(name, indent))).join("");
    const flow = list ? ` [{ name: one }]` : ` { one: { a: 1 }, two: "x" }`;
    const others = pick(
      choice,
      `${comment()}\n${inner(list ? pick(choice, "", unit) : unit)}`,
      `${flow}${comment()}\n`,
    );
    const empty = pick(choice, `${comment()}\n`, list ? " []\n" : " {}\n");
    const servers = where === "none" ? "" : `servers:${where === "others" ? others : empty}`;
    const text = `${pick(choice, "", "", "---\n")}${top}${servers}${pick(choice, "", "zz: 1\n")}${between()}`;
    return text.replaceAll("\n", end);
  });
