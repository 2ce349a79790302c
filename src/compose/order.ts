/** In which order services start: what others depend on comes first. Pure. */
import type { Project, Service } from "./project.ts";

/** `circle`: a service that waits for itself. */
export function inOrder(project: Pick<Project, "services">): { order: Service[]; circle?: string } {
  const order: Service[] = [];
  const done = new Set<string>();
  const open = new Set<string>();
  let circle: string | undefined;
  const visit = (service: Service) => {
    if (done.has(service.name)) return;
    if (open.has(service.name)) {
      circle ??= service.name;
      return;
    }
    open.add(service.name);
    for (const name of Object.keys(service.depends_on).toSorted()) {
      const other = project.services.get(name);
      if (other) visit(other);
    }
    open.delete(service.name);
    done.add(service.name);
    order.push(service);
  };
  for (const [, service] of [...project.services].toSorted(([left], [right]) => (left < right ? -1 : 1)))
    visit(service);
  return circle === undefined ? { order } : { order, circle };
}

/** The services and all that they depend on. */
export function withDependencies(project: Project, names: readonly string[]): Set<string> {
  const found = new Set(names);
  for (const name of found)
    for (const other of Object.keys(project.services.get(name)?.depends_on ?? {}))
      if (project.services.has(other)) found.add(other);
  return found;
}
