/** Which networks stay within what the engine isolates. */

/** Drivers that do; macvlan and ipvlan put containers on the host's own network. */
export const ISOLATED_DRIVERS = ["bridge", "overlay"] as const;
export const PRIVILEGED_DRIVERS = ["macvlan", "ipvlan"] as const;

/** Options of the isolated drivers that change nothing on the host. */
export const NETWORK_OPTIONS: ReadonlySet<string> = new Set([
  "com.docker.network.bridge.enable_icc",
  "com.docker.network.bridge.enable_ip_masquerade",
  "com.docker.network.driver.mtu",
  "encrypted",
]);
