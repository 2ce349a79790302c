/** Logins to registries that one client has given: in memory only, gone with it, never written or shown. */
import { registryOf } from "../../docker/credentials.ts";

/** The oldest is forgotten. */
const LOGINS_MAX = 32;

export class Logins {
  private readonly byRegistry = new Map<string, string>();

  /** `auth`: base64 for X-Registry-Auth. */
  set(registry: string, auth: string): void {
    this.byRegistry.delete(registry);
    this.byRegistry.set(registry, auth);
    const [oldest] = this.byRegistry.keys();
    if (this.byRegistry.size > LOGINS_MAX && oldest !== undefined) this.byRegistry.delete(oldest);
  }

  forImage(image: string): string | undefined {
    return this.byRegistry.get(registryOf(image));
  }
}
