/**
 * What of a call's progress has reached a client, whichever SDK it has.
 *
 * `onprogress` does not tell that: the SDKs forget a call's token with its result, at once, but hand a notification on a
 * moment later; so progress that is read together with the result never gets there, and on a busy machine that may be all
 * of it. What the transport was given tells it.
 */
import { expect } from "bun:test";
import * as v from "valibot";

/** Of either SDK. */
interface Transport {
  // Each SDK has messages of its own type.
  onmessage?: ((message: never, extra?: never) => void) | undefined;
}

const Told = v.object({
  method: v.literal("notifications/progress"),
  params: v.object({ progressToken: v.union([v.string(), v.number()]), progress: v.number() }),
});

export class Progress {
  private told: v.InferOutput<typeof Told>["params"][] = [];

  /** Of a transport whose client is connected. */
  constructor(transport: Transport) {
    const { onmessage } = transport;
    transport.onmessage = (message, extra) => {
      const told = v.safeParse(Told, message);
      if (told.success) this.told.push(told.output.params);
      onmessage?.(message, extra);
    };
  }

  /**
   * Makes a call, the only one that is to tell its progress: `steps` steps come, in order and under one token; `onprogress`
   * is told as many of the first as the SDK hands on.
   */
  async of(steps: number, call: (onprogress: (told: { progress: number }) => void) => Promise<unknown>): Promise<void> {
    this.told = [];
    const handed: number[] = [];
    await call(({ progress }) => void handed.push(progress));
    const all = Array.from({ length: steps }, (_, step) => step + 1);
    expect(this.told.map(({ progress }) => progress)).toEqual(all);
    expect(new Set(this.told.map(({ progressToken }) => progressToken)).size).toBe(1);
    expect(handed).toEqual(all.slice(0, handed.length));
  }
}
