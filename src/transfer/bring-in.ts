import type { By } from "../auth/principal.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import type { Backend } from "../gateway/storage/context.ts";
import { type S3Code, S3Error } from "../gateway/storage/errors.ts";
import type { TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { type Failure, failed, type Outcome } from "../outcome.ts";
import type { ImportRequest, ImportSource } from "../tenant/requests.ts";
import type { ImportGrant } from "../tenant/types.ts";
import type { ActionAnswer } from "../tenant/views.ts";
import type { VaultStorage } from "../vault/storage.ts";
import type { Committed } from "../vault/types.ts";

/** What is left of an operation's time to commit and to tell its end, in ms. */
const MARGIN_MS = 5_000;
const ATTEMPTS = 3;
const COMMIT_MS = 60_000;
const TELL_MS = 10_000;

export interface BringIn {
  tenantId: TenantId;
  source: ImportSource;
  /** Accepts what a guard refuses, and state that is there. */
  force: boolean;
  by: By;
  /** Stages everything, its manifest too. @throws Problem, S3Error */
  fill: (gateway: Backend) => Promise<void>;
}

/**
 * State that no container of the tenant saved becomes its next generation, whole or not at all: the tenant gives out an
 * epoch and does nothing else meanwhile; what is staged under it counts with its commit only. Whoever dies here leaves an
 * operation that ends by its deadline and a staging that the next epoch aborts.
 */
export async function bringIn(env: Env, request: BringIn): Promise<Outcome<ActionAnswer>> {
  const { tenantId, source, force, by } = request;
  const begun = await granted(env, tenantId, { source, force }, by);
  if (!begun.ok) return begun;
  const outcome = await attempt(env, request, begun.value);
  if (!outcome.ok && outcome.failure.code === "operation_interrupted" && outcome.failure.extra?.unheard) {
    return outcome; // what became of it is the vault's to say, at the deadline
  }
  return told(env, tenantId, begun.value, outcome);
}

/** The tenant's leave to begin. */
export function granted(
  env: Env,
  tenantId: TenantId,
  request: Omit<ImportRequest, "token">,
  by: By,
): Promise<Outcome<ImportGrant>> {
  const named = { ...request, token: crypto.randomUUID() };
  return untilHeard(TELL_MS, "the beginning", () => tenantOf(env, tenantId).beginImport(tenantId, named, by));
}

/** What became of it. The first time counts, and its end is the answer. */
export const told = (
  env: Env,
  tenantId: TenantId,
  { operation }: ImportGrant,
  outcome: Outcome<Committed>,
): Promise<Outcome<ActionAnswer>> =>
  untilHeard(TELL_MS, "the end", () => tenantOf(env, tenantId).endImport(operation.id, outcome));

/** For what carries a name, so that it happens once however often it is asked for: again after an answer that got lost. */
async function untilHeard<T>(ms: number, what: string, ask: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await within(ms, what, ask());
    } catch (error) {
      log.warn(`import: ${what} was not answered`, { attempt, error: messageOf(error) });
      if (attempt === ATTEMPTS) return failed("operation_interrupted", messageOf(error), { extra: { unheard: true } });
    }
  }
}

async function attempt(env: Env, request: BringIn, { save, deadlineAt }: ImportGrant): Promise<Outcome<Committed>> {
  const { tenantId, force, fill } = request;
  const vault = vaultOf(env, tenantId);
  const gateway: Backend = {
    vault: vault as unknown as VaultStorage,
    bucket: env.BUCKET,
    actor: { epoch: save.epoch, incarnation: save.incarnation },
    waitUntil: () => {},
  };
  const stage = async (): Promise<Outcome<null>> => {
    const fenced = await vault.fence(save.epoch, save.incarnation);
    if (!fenced.ok) return fenced;
    // Its manifest comes with its contents.
    const opened = await vault.open(save, []);
    if (!opened.ok) return opened;
    await fill(gateway);
    return { ok: true, value: null };
  };
  try {
    const staged = await within(deadlineAt - Date.now() - MARGIN_MS, "import", stage());
    if (!staged.ok) return staged;
  } catch (error) {
    await within(TELL_MS, "the end", vault.abort(save)).catch(() => {}); // or the next epoch does
    return { ok: false, failure: failureOf(error) };
  }
  return untilHeard(COMMIT_MS, "the commit", () => vault.commit(save, { force }));
}

/** What the vault said, before the gateway put it into S3's words. */
const CODES: { readonly [Code in S3Code]?: Failure["code"] } = { AccessDenied: "stale_epoch", NoSuchKey: "not_found" };

function failureOf(error: unknown): Failure {
  if (error instanceof Problem) return error.failure;
  const detail = `${messageOf(error)} Nothing of it was kept.`;
  if (error instanceof S3Error) {
    return { code: CODES[error.code] ?? "operation_interrupted", detail };
  }
  return { code: "operation_interrupted", detail };
}
