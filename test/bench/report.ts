/** The goals of the benchmark, the table for people and the JSON for programs. */
export type Figures = Record<string, number | undefined>;
export interface Row {
  path: string;
  figures: Figures;
  note?: string;
}

export interface Goal {
  what: string;
  /** The measured value; undefined where a path did not run. */
  value: number | undefined;
  limit: number;
  /** Whether the value must be at most or at least the limit. */
  sense: "at most" | "at least";
  unit: string;
}

export function reached(goal: Goal): boolean | undefined {
  if (goal.value === undefined || Number.isNaN(goal.value)) return undefined;
  return goal.sense === "at most" ? goal.value <= goal.limit : goal.value >= goal.limit;
}

export function ratio(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

/** A Markdown table; numbers with the digits that mean something. */
export function table(rows: Row[], columns: { key: string; title: string }[]): string {
  const head = `| path | ${columns.map((column) => column.title).join(" | ")} |`;
  const line = `|---|${columns.map(() => "--:").join("|")}|`;
  const body = rows.map((row) => {
    const cells = columns.map(({ key }) => format(row.figures[key]));
    return `| ${row.path}${row.note ? ` (${row.note})` : ""} | ${cells.join(" | ")} |`;
  });
  return [head, line, ...body].join("\n");
}

export function goalTable(goals: Goal[]): string {
  const rows = goals.map((goal) => {
    const verdict = { true: "reached", false: "**missed**", undefined: "not measured" }[`${reached(goal)}`];
    return `| ${goal.what} | ${goal.sense} ${goal.limit} ${goal.unit} | ${format(goal.value)} | ${verdict} |`;
  });
  return ["| goal | limit | measured | |", "|---|---|--:|---|", ...rows].join("\n");
}

function format(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
