import { configOf } from "../config.ts";
import { messageOf } from "../durable/deadline.ts";
import { poolOf, vaultOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { MAX_SECRETS } from "../registry/requests.ts";
import { type Keyring, rewrapped, type WrappedKey } from "../secrets/envelope.ts";
import type { Given } from "./delivery.ts";
import type { PlannedAction, PlannedChange } from "./events.ts";
import type { TenantRecord } from "./record.ts";
import type { Action, Change, ClaimRequest } from "./requests.ts";
import { openAll, sealAll } from "./secrets.ts";
import type { TenantStore } from "./store.ts";
import { briefsIfKnown } from "./sync-effects.ts";

/** What has to be looked up, opened or sealed before a wish can be planned. Nothing here changes anything. */

/** What an action needs to know of the world, looked up before it is planned. */
export async function preparedAction(env: Env, record: TenantRecord, action: Action): Promise<Outcome<PlannedAction>> {
  if (action.kind === "restore") {
    const { generations } = await vaultOf(env, record.tenantId).describe();
    if (generations.some(({ generation }) => generation === action.generation)) return done(action);
    return failed("not_found", `The tenant ${record.tenantId} has no generation ${action.generation}.`);
  }
  if (action.kind === "sync") {
    const { specs } = await briefsIfKnown(env, record.poolId);
    if (!specs && action.spec !== undefined) return failed("database_unavailable", "The registry does not answer.");
    return done({ ...action, specs: specs ?? record.syncs?.specs ?? [] });
  }
  if (action.kind !== "restart" || action.scope !== "image" || !record.poolId) return done(action);
  const pool = await poolOf(env, record.poolId).describe();
  return pool.ok ? done({ ...action, minWorkloadVersion: pool.value.workloadVersion }) : pool;
}

/** A change with what only the shell can do: secrets sealed, an earlier config read. */
export async function preparedChange(
  env: Env,
  store: TenantStore,
  record: TenantRecord,
  change: Change,
): Promise<Outcome<PlannedChange>> {
  const { tenantId, secrets } = record;
  const keyring = configOf(env);
  switch (change.kind) {
    case "tier":
    case "lifecycle":
    case "config":
    case "revoke-tokens":
      return done(change);
    case "rollback": {
      const earlier = store.configs().find(({ version }) => version === change.version);
      if (!earlier) return failed("not_found", `There is no version ${change.version} of the config.`);
      return done({ kind: "config", config: earlier.config, rolledBackTo: change.version });
    }
    case "secrets":
      return done({
        kind: "secrets",
        sealed: await sealAll(keyring, tenantId, secrets, change.secrets, Date.now()),
      });
    case "secret": {
      const { [change.name]: before, ...rest } = secrets ? await openAll(keyring, tenantId, secrets) : {};
      if (change.value === null && before === undefined) {
        return failed("not_found", `There is no secret ${change.name}.`);
      }
      const values = change.value === null ? rest : { ...rest, [change.name]: change.value };
      if (change.value !== null && Object.keys(values).length > MAX_SECRETS) {
        return failed("invalid", `A tenant has at most ${MAX_SECRETS} secrets.`);
      }
      const sealed = await sealAll(keyring, tenantId, secrets, values, Date.now());
      return done({ kind: "secrets", sealed, before: secrets?.version ?? 0 });
    }
  }
}

/** What a claim brings, sealed. @throws when there are secrets and no key to keep them under. */
export async function givenBy(
  env: Env,
  store: TenantStore,
  { tenantId, config, secrets, publicUrl }: ClaimRequest,
): Promise<Given> {
  const before = store.load()?.secrets ?? null;
  return {
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(config === undefined ? {} : { config: { value: config } }),
    ...(secrets === undefined ? {} : { secrets: await sealAll(configOf(env), tenantId, before, secrets, Date.now()) }),
  };
}

/** Null: it is already. Failure: the platform's key that wraps it is not there any more. */
export async function wrappedAnew(
  keyring: Keyring,
  tenantId: TenantId,
  key: WrappedKey,
): Promise<Outcome<WrappedKey | null>> {
  try {
    return done(await rewrapped(keyring, tenantId, key));
  } catch (error) {
    return failed("internal", messageOf(error));
  }
}
