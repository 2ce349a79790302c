/** What a container's state says, in words, with what to do next. Pure. */

export interface ContainerFacts {
  State: {
    Status: string;
    OOMKilled: boolean;
    ExitCode: number;
    Error: string;
    Health?:
      { Status: string; FailingStreak: number; Log?: { ExitCode: number; Output: string }[] | null } | null | undefined;
  };
  RestartCount: number;
  HostConfig: { Memory: number; RestartPolicy: { Name: string }; Privileged: boolean };
}

export interface Finding {
  severity: "problem" | "remark";
  what: string;
  next: string;
}

const SIGNAL_BASE = 128;
/** Signals by number (signal(7)), as far as programs end by them. */
const SIGNALS: Record<number, string> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};
/** What a shell and the engine mean by them (POSIX 2.8.2). */
const CODES: Record<number, string> = {
  125: "the engine itself could not run it",
  126: "the command is there and cannot be executed",
  127: "the command was not found",
};

export function findings({ State, RestartCount, HostConfig }: ContainerFacts): Finding[] {
  const found: Finding[] = [];
  const problem = (what: string, next: string) => void found.push({ severity: "problem", what, next });
  const remark = (what: string, next: string) => void found.push({ severity: "remark", what, next });
  const limit =
    HostConfig.Memory > 0 ? `its limit of ${Math.round(HostConfig.Memory / 1024 ** 2)} MiB` : "the machine's memory";
  // The engine keeps the word when the container is started again by hand, and sets it for any process of one that runs.
  const earlier = State.Status === "running" && RestartCount === 0;
  if (State.OOMKilled && earlier)
    remark(
      "A process of it was killed for memory, in this run or in an earlier one: the engine does not say in which",
      `If it happens again, raise memory with docker_update_container (now ${limit}).`,
    );
  if (State.OOMKilled && !earlier)
    problem(
      `It was killed for memory: it wanted more than ${limit}`,
      "Raise memory with docker_update_container, or make it need less.",
    );
  if (State.Error)
    problem(`It could not be started: ${State.Error}`, "Correct what the message names, then docker_start_container.");
  if (State.Status === "restarting" || (RestartCount > 2 && HostConfig.RestartPolicy.Name !== ""))
    problem(
      `It has been restarted ${RestartCount} times (policy ${HostConfig.RestartPolicy.Name || "none"})`,
      "The last lines of its log say why it ends each time.",
    );
  if ((State.Status === "exited" || State.Status === "dead") && !State.OOMKilled && State.Error === "")
    ended(State.ExitCode, problem, remark);
  const up = State.Status === "running";
  // Of one that has ended the engine says unhealthy as well, whatever the check said.
  if (State.Health?.Status === "unhealthy" && (up || State.Health.FailingStreak > 0))
    problem(
      unhealthy(State.Health),
      `${up ? "Run" : "docker_start_container starts it; then run"} the check by hand with docker_exec_command.`,
    );
  if (State.Health?.Status === "starting")
    remark("Its health check has not succeeded yet", "Wait with docker_wait_container.");
  if (State.Status === "created") remark("It was never started", "docker_start_container starts it.");
  if (State.Status === "paused") remark("It is paused and does nothing", "docker_unpause_container lets it go on.");
  if (HostConfig.Privileged)
    remark("It is privileged: it can do on the host what root can", "Make it again without, unless it needs that.");
  return found;
}

type Say = (what: string, next: string) => void;

function ended(code: number, problem: Say, remark: Say): void {
  if (code === 0) return remark("It has ended by itself, successfully", "docker_start_container starts it again.");
  const signal = SIGNALS[code - SIGNAL_BASE];
  const meaning = CODES[code] ?? (signal ? `it was ended by ${signal}` : "its own error code");
  if (signal === "SIGTERM" || signal === "SIGINT")
    return remark(`It was asked to end (${signal})`, "docker_start_container starts it again.");
  problem(`It has ended with exit code ${code}: ${meaning}`, "The last lines of its log say more.");
}

function unhealthy({ FailingStreak, Log }: NonNullable<ContainerFacts["State"]["Health"]>): string {
  const last = Log?.at(-1);
  const said = last
    ? `; the last said (exit code ${last.ExitCode}): ${last.Output.trim().slice(0, 500) || "nothing"}`
    : "";
  return `Its health check has failed ${FailingStreak} times in a row${said}`;
}
