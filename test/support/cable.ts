/**
 * A network cable that can be pulled: a network namespace of its own at the far end, so that packets vanish without a
 * word to anybody. Linux, as root.
 */
const run = (...cmd: string[]) => Bun.spawnSync({ cmd, stdio: ["ignore", "ignore", "pipe"] });

/** Whether this machine lets us have one. */
export const CABLES =
  process.platform === "linux" && process.getuid?.() === 0 && Bun.which("ip") !== null && makes(`lsp${process.pid}`);

export class Cable implements Disposable {
  private constructor(
    private readonly namespace: string,
    private readonly subnet: number,
  ) {}

  static lay(): Cable {
    // A private network that nobody else is likely to have; the process makes it this test's.
    const cable = new Cable(`lsc${process.pid}`, process.pid % 250);
    const { namespace: far, near, host } = cable;
    const steps = [
      ["netns", "add", far],
      ["link", "add", near, "type", "veth", "peer", "name", "far", "netns", far],
      ["addr", "add", `10.231.${cable.subnet}.1/30`, "dev", near],
      ["link", "set", near, "up"],
      ["-n", far, "addr", "add", `${host}/30`, "dev", "far"],
      ["-n", far, "link", "set", "lo", "up"],
      ["-n", far, "link", "set", "far", "up"],
    ];
    for (const step of steps) {
      const { exitCode, stderr } = run("ip", ...step);
      if (exitCode === 0) continue;
      cable[Symbol.dispose]();
      throw new Error(`ip ${step.join(" ")}: ${stderr.toString()}`);
    }
    return cable;
  }

  /** The address at the far end. */
  get host(): string {
    return `10.231.${this.subnet}.2`;
  }

  /** The address at this end. */
  get nearHost(): string {
    return `10.231.${this.subnet}.1`;
  }

  /** What runs a program at the far end. */
  get launcher(): string[] {
    return ["ip", "netns", "exec", this.namespace];
  }

  /** From now on every packet is lost. */
  pull(): void {
    run("ip", "-n", this.namespace, "link", "set", "far", "down");
  }

  [Symbol.dispose](): void {
    run("ip", "link", "del", this.near);
    run("ip", "netns", "del", this.namespace);
  }

  private get near(): string {
    return `lsc${process.pid}`;
  }
}

function makes(namespace: string): boolean {
  const made = run("ip", "netns", "add", namespace).exitCode === 0;
  if (made) run("ip", "netns", "del", namespace);
  return made;
}
