/** What a control connection may ask, and the answers of the bridge as a whole. */
import type { Bridge, Refusal } from "./bridge.ts";
import type { Session } from "./session.ts";
import { type BridgeFrame, type DialerFrame, LIMITS, WIRE_VERSION } from "./wire.ts";

/** Does what the frame says; returns why it does not. */
export function obey(bridge: Bridge, frame: DialerFrame, answer: (frame: BridgeFrame) => void): Refusal | undefined {
  switch (frame.link) {
    case "health":
      answer({ link: "health", ...bridge.health() });
      return undefined;
    case "configure":
      bridge.configure(frame.env);
      answer({ link: "configured" });
      return undefined;
    case "lease":
      bridge.renewLease(frame.ttlMs);
      return undefined;
    case "drain":
      if (!frame.whenIdle) bridge.drain();
      else {
        bridge.drainWhenIdle();
        answer({ link: "health", ...bridge.health() });
      }
      return undefined;
    case "exit":
      bridge.stop({ code: 0, why: "a manager asked for it" }, frame.graceMs);
      return undefined;
    default:
      return { kind: "usage", message: `a control connection takes no ${frame.link} frame` };
  }
}

/** The answer to `attach`; without a session on a control connection. */
export function attachedFrame(bridge: Bridge, session: Session | undefined): BridgeFrame {
  return {
    link: "attached",
    version: WIRE_VERSION,
    ...(session ? { session: session.id } : {}),
    resumed: false,
    received: session?.received ?? 0,
    incarnation: bridge.incarnation,
    limits: { messageBytes: bridge.messageBytes, queueBytes: LIMITS.queueBytes },
  };
}
