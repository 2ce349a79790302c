/** Which client a task of the server belongs to (2025-11-25 and the 2026-07-28 extension): only that one reaches it. Pure. */
import type { Guest } from "./guest.ts";

/** Tasks that are never seen to end must not pile up; beyond this the oldest are forgotten. */
const TASKS_MAX = 16_384;

interface Task {
  guest: Guest;
  /** Progress of a task goes on under the token of the request that began it. */
  number: number | undefined;
  token: string | undefined;
}

const OVER: ReadonlySet<unknown> = new Set(["completed", "failed", "cancelled"]);

export class Tasks {
  private readonly tasks = new Map<string, Task>();
  private readonly byNumber = new Map<number, string>();

  begin(id: string, task: Task): void {
    this.tasks.set(id, task);
    if (task.number !== undefined) this.byNumber.set(task.number, id);
    if (this.tasks.size <= TASKS_MAX) return;
    for (const oldest of this.tasks.keys()) return this.forget(oldest);
  }

  owner(id: string | undefined): Guest | undefined {
    return id === undefined ? undefined : this.tasks.get(id)?.guest;
  }

  /** The task whose progress is told under that number. */
  byToken(number: number): Task | undefined {
    const id = this.byNumber.get(number);
    return id === undefined ? undefined : this.tasks.get(id);
  }

  /** A state was told. Its owner may still ask for the result of one that is over; progress comes no more. */
  told(id: string, status: unknown): void {
    const { number } = this.tasks.get(id) ?? {};
    if (number !== undefined && OVER.has(status)) this.byNumber.delete(number);
  }

  /** The client has left: its tasks. Nobody can reach them any more. */
  leave(guest: Guest): string[] {
    const ids = [...this.tasks].filter(([, task]) => task.guest === guest).map(([id]) => id);
    for (const id of ids) this.forget(id);
    return ids;
  }

  private forget(id: string): void {
    const { number } = this.tasks.get(id) ?? {};
    if (number !== undefined) this.byNumber.delete(number);
    this.tasks.delete(id);
  }
}
