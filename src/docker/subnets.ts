/** Which addresses a network may have: a bridge takes the machine's own routes to them. Pure. */
import { BlockList, isIP } from "node:net";

/** Private and shared use, benchmarks, documentation (IANA special-purpose registries). Not link-local: clouds answer there. */
const PRIVATE: readonly [address: string, prefix: number, family: "ipv4" | "ipv6"][] = [
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.0.2.0", 24, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"],
  ["198.51.100.0", 24, "ipv4"],
  ["203.0.113.0", 24, "ipv4"],
  ["2001:db8::", 32, "ipv6"],
  ["fc00::", 7, "ipv6"],
];

/** `10.9.0.0/24`: all of it is private. */
export function isPrivateSubnet(subnet: string): boolean {
  const [address = "", bits = ""] = subnet.split("/");
  const prefix = Number(bits);
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (isIP(address) === 0 || prefix > (family === "ipv6" ? 128 : 32)) return false;
  return PRIVATE.some(([net, wide, kind]) => {
    if (kind !== family || prefix < wide) return false;
    const list = new BlockList();
    list.addSubnet(net, wide, kind);
    return list.check(address, family);
  });
}
