/** Which values must not be written down, and what stands for them instead. */
import { isReference, variableName } from "./references.ts";

/** Names that say it, in a word of their own or, as in PGPASSWORD, at its end. `KEY` is too common: SORT_KEY is none. */
const NAMES =
  /(passw(or)?d|passphrase|secret)s?($|[_-])|(^|[_-])(token|pat|credentials?|auth|cookie|bearer|dsn|apikey)s?($|[_-])|(api|access|private|secret|auth|license|encryption|signing)[_-]?key/i;
/** Forms of tokens that are known: GitHub, GitLab, Slack, OpenAI and Anthropic, AWS, Google, Stripe, npm, JWT, keys. */
const VALUES = [
  /\bgh[pousr]_[A-Za-z0-9]{20,}/,
  /\bgithub_pat_\w{20,}/,
  /\bglpat-[\w-]{15,}/,
  /\bxox[abposr]-[\w-]{10,}/,
  /\bsk-[\w-]{16,}/,
  /\b(AKIA|ASIA)[A-Z0-9]{16}\b/,
  /\bAIza[\w-]{30,}/,
  /\b[rsp]k_(live|test)_\w{10,}/,
  /\bnpm_[A-Za-z0-9]{30,}/,
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\b(Bearer|Basic) [\w+/=.-]{12,}/,
];
/** `postgres://user:password@host`. */
const WITH_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:[^\s@]+@/i;
const LONG_CHARS = 24;

export function isSecretName(name: string): boolean {
  return NAMES.test(name.replace(/([a-z0-9])([A-Z])/g, "$1_$2"));
}

export function isSecretValue(value: string): boolean {
  return VALUES.some((form) => form.test(value)) || WITH_PASSWORD.test(value) || isRandom(value);
}

/** One long word of letters and digits in no order: a key of some kind. */
function isRandom(value: string): boolean {
  if (value.length < LONG_CHARS || !/^[A-Za-z0-9+=_-]+$/.test(value)) return false;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(value)).length;
  const changes = value.match(/[A-Za-z](?=\d)|\d(?=[A-Za-z])/g)?.length ?? 0;
  return (kinds === 3 && changes >= 3) || /^[0-9a-f]{32,}$/.test(value);
}

/** Gives each secret the name of a variable; the same name for two values would hand one server the other's secret. */
export class Variables {
  private readonly values = new Map<string, string>();

  /** `${NAME}` for a value of a server. What is a reference already stays what it is. */
  refer(server: string, name: string, value: string): string {
    if (isReference(value)) return value;
    const plain = variableName(name);
    const taken = this.values.get(plain);
    const chosen = taken === undefined || taken === value ? plain : variableName(`${server}_${name}`).toUpperCase();
    this.values.set(chosen, value);
    return `\${${chosen}}`;
  }
}
