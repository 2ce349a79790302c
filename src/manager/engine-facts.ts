/** What the engine is, asked once it answers; an engine that did not is asked again at the next need. */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Facts, Runtime } from "../runtime/runtime.ts";

/** An engine that hangs must not use up the whole time of a start. */
const PROBE_MS = 10_000;

export class EngineFacts {
  private known: Facts | undefined;
  private asking: Promise<Facts> | undefined;

  constructor(
    private readonly runtime: Runtime,
    /** Added to what is said when no engine is there: what else can be done. */
    private readonly otherwise: string | undefined,
  ) {}

  /** Faults: those of `Runtime.probe`. */
  async get(deadline: Deadline): Promise<Facts> {
    if (this.known) return this.known;
    this.asking ??= this.ask().finally(() => {
      this.asking = undefined;
    });
    return await deadline.race("asking the engine", this.asking);
  }

  private async ask(): Promise<Facts> {
    // Not the first caller's deadline: others wait for the same answer.
    try {
      this.known = await this.runtime.probe(Deadline.in(PROBE_MS));
      return this.known;
    } catch (error) {
      const { kind, message, hint, data } = Fault.from(error);
      const hints = [hint, this.otherwise].filter((one) => one !== undefined).join("; ");
      throw new Fault(kind, message, { cause: error, ...(hints ? { hint: hints } : {}), ...(data ? { data } : {}) });
    }
  }
}
