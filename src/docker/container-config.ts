/** What the engine is told of a container that is to be made (API reference, ContainerCreate), as far as it is used. */

/** Body of a create call; the fields are Docker's own (API reference, ContainerCreate). */
export interface ContainerConfig {
  Image: string;
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  Healthcheck?: {
    Test?: string[];
    Interval?: number;
    Timeout?: number;
    StartPeriod?: number;
    StartInterval?: number;
    Retries?: number;
  };
  StopSignal?: string;
  StopTimeout?: number;
  ExposedPorts?: Record<string, object>;
  Hostname?: string;
  Domainname?: string;
  Tty?: boolean;
  OpenStdin?: boolean;
  HostConfig?: HostConfig;
  /** One network; a container joins others afterwards. */
  NetworkingConfig?: { EndpointsConfig: Record<string, NetworkPlace> };
}

/** A container's place in a network. */
export interface NetworkPlace {
  Aliases: string[];
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string };
}

export interface HostConfig {
  Memory?: number;
  MemorySwap?: number;
  CpuShares?: number;
  AutoRemove?: boolean;
  NanoCpus?: number;
  PidsLimit?: number;
  CapDrop?: string[];
  CapAdd?: string[];
  SecurityOpt?: string[];
  ReadonlyRootfs?: boolean;
  Privileged?: boolean;
  Tmpfs?: Record<string, string>;
  Init?: boolean;
  IpcMode?: string;
  NetworkMode?: string;
  Dns?: string[];
  PublishAllPorts?: boolean;
  PortBindings?: Record<string, { HostIp: string; HostPort: string }[]>;
  RestartPolicy?: { Name: string; MaximumRetryCount?: number };
  MemoryReservation?: number;
  ShmSize?: number;
  ExtraHosts?: string[];
  DnsSearch?: string[];
  DnsOptions?: string[];
  Ulimits?: { Name: string; Soft: number; Hard: number }[];
  LogConfig?: { Type: string; Config: Record<string, string> };
  Mounts?: Mount[];
  /** `SOURCE:TARGET[:OPTIONS]`, unchecked: servers get `Mounts`. */
  Binds?: string[];
  GroupAdd?: string[];
}

export interface Mount {
  Type: "bind" | "volume" | "tmpfs";
  Source?: string;
  Target: string;
  ReadOnly: boolean;
  BindOptions?: { Propagation: "rprivate" };
  VolumeOptions?: { NoCopy?: boolean; Labels?: Record<string, string> };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}
