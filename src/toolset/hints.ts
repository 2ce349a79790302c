/** What to do next where the engine's own words do not say it, or name commands that a model does not have. Pure. */
import { Fault } from "../base/fault.ts";

interface Row {
  /** In the message, any case. */
  says: RegExp;
  hint: string;
  /** Also where there is a hint: it is for people at a terminal. */
  instead?: true;
}

const ROWS: readonly Row[] = [
  {
    says: /container \S+ is not running/i,
    hint: "docker_diagnose says why it has ended; docker_start_container starts it.",
  },
  { says: /container \S+ is not paused/i, hint: "docker_inspect_container shows its state." },
  { says: /container \S+ is already paused/i, hint: "docker_unpause_container lets it go on." },
  {
    says: /container name .* is already in use/i,
    hint: "Take another name, or give that container another with docker_rename_container.",
  },
  {
    says: /unable to start container process: exec/i,
    hint: "The image has no such program, or it cannot be executed: name another command or entrypoint.",
  },
  { says: /invalid filter/i, hint: "Leave it out, or take one that the engine knows, such as name, label or status." },
  {
    says: /port is already allocated|address already in use/i,
    hint: "Publish another port; docker_list_containers shows those that are taken by containers.",
    instead: true,
  },
  {
    says: /pull access denied|unauthorized|authentication required|no basic auth credentials/i,
    hint: "Check the image's name; for a private one docker_login_registry logs in.",
    instead: true,
  },
  {
    says: /pull rate limit|toomanyrequests/i,
    hint: "The registry limits pulls: wait, or log in with docker_login_registry.",
    instead: true,
  },
  {
    says: /no space left on device|disk quota exceeded/i,
    hint: "docker_system_df shows what takes the engine's disk; docker_system_prune frees some.",
    instead: true,
  },
  {
    says: /non-overlapping IPv4 address pool|address pools have been fully subnetted/i,
    hint: "Name a subnet in ipam, or remove networks that nobody uses with docker_prune_networks.",
    instead: true,
  },
];

/** The same fault with the tool that helps. */
export function withNext(fault: Fault): Fault {
  const { kind, message, data } = fault;
  const row = ROWS.find(({ says, instead }) => (instead || fault.hint === undefined) && says.test(message));
  if (!row) return fault;
  return new Fault(kind, message, { hint: row.hint, cause: fault, ...(data === undefined ? {} : { data }) });
}

/** Message and hint as sentences, whoever has written them. */
export function sentences(message: string, hint: string | undefined): string {
  if (!hint) return message;
  const begun = /^(?!linkspan |docker )[a-z]+[ :]/.test(hint) ? hint.charAt(0).toUpperCase() + hint.slice(1) : hint;
  const end = /[.!?)…:]$/.test(begun) ? "" : ".";
  return `${message.replace(/\.+\s*$/, "")}${message.includes("\n") ? "\n" : ". "}${begun}${end}`;
}
