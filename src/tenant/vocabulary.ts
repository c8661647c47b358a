/** The words for what a tenant is: the same in code, API, events and documents. */

export type TenantState =
  | "idle"
  | "claiming"
  | "active"
  | "saving"
  | "sleeping"
  | "asleep"
  | "waking"
  | "recovering"
  | "releasing"
  | "release_failed"
  | "error"
  | "suspended"
  | "destroying"
  | "destroyed";

export type Desired = "active" | "asleep" | "idle" | "destroyed";

export type OperationKind =
  | "claim"
  | "release"
  | "sleep"
  | "wake"
  | "recover"
  | "restart"
  | "sync"
  | "restore"
  | "import"
  | "suspend"
  | "destroy";

export type Launch = "existing" | "warm" | "cold";

/** Why a tenant has no container, or is about to have none. `breaker`: its containers ended again and again. */
export type StoppedReason = "idle" | "user" | "policy" | "breaker" | "capacity" | "failure" | "deploy";

/** In what the next container would differ from the one that runs: the workload's version, what it is given, its size. */
export type Drift = "image" | "config" | "secrets" | "tier";

export type LifecycleMode = "on-demand" | "always-on" | "scheduled";

export interface Lifecycle {
  mode: LifecycleMode;
  /** Of `on-demand` and `scheduled`; the pool's when absent. */
  idleTimeoutMs?: number;
  /** Of `scheduled`: times of day in UTC, `HH:MM`. */
  wakeTimes?: string[];
}
