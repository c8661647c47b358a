import { within } from "../durable/deadline.ts";
import { limiterOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { log } from "../log.ts";
import { sha256 } from "../sha256.ts";

const COUNT_MS = 2_000;
const MAX_REMEMBERED = 10_000;

/** Until when whom is refused, as far as this isolate knows: `<address> <hash>` for a credential there, `<address>` for all that fail there. */
const waits = new Map<string, number>();

/**
 * Checks a credential, unless it has failed so often from this address that it has to wait. Others behind the same
 * address are checked all the same: only what then fails waits with it. What opens costs nothing beside a look into memory.
 * @throws Problem `rate_limited`
 */
export async function withBackOff<Checked extends { ok: boolean }>(
  request: Request,
  credential: string,
  env: Env,
  check: () => Promise<Checked>,
): Promise<Checked> {
  const address = addressOf(request.headers.get("cf-connecting-ip"));
  if (waits.size > 0) refuseWhile(`${address} ${sha256(credential)}`);
  const checked = await check();
  if (checked.ok) return checked;
  refuseWhile(address);
  const hash = sha256(credential);
  const { credentialWaitMs, addressWaitMs } = await count(env, address, hash);
  remember(`${address} ${hash}`, credentialWaitMs);
  remember(address, addressWaitMs);
  const waitMs = Math.max(credentialWaitMs, addressWaitMs);
  if (waitMs > 0) throw tooMany(waitMs);
  return checked;
}

async function count(env: Env, address: string, hash: string) {
  try {
    return await within(COUNT_MS, "the count of failures", limiterOf(env, `failures:${address}`).failed(hash));
  } catch (error) {
    log.warn("a failed authentication was not counted", { error });
    return { credentialWaitMs: 0, addressWaitMs: 0 };
  }
}

function refuseWhile(subject: string): void {
  const waitMs = (waits.get(subject) ?? 0) - Date.now();
  if (waitMs > 0) throw tooMany(waitMs);
  waits.delete(subject);
}

function remember(subject: string, waitMs: number): void {
  if (waitMs <= 0) return;
  waits.delete(subject);
  waits.set(subject, Date.now() + waitMs);
  const [oldest] = waits.keys();
  if (waits.size > MAX_REMEMBERED && oldest !== undefined) waits.delete(oldest);
}

const tooMany = (retryAfterMs: number) =>
  new Problem("rate_limited", "Too many credentials of this kind were refused; wait before the next.", {
    retryAfterMs,
  });

/** Whoever has an IPv6 address has its whole /64. Exported for tests. Pure. */
export function addressOf(connecting: string | null): string {
  if (connecting === null || connecting === "") return "unknown";
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(connecting) ?? [];
  if (mapped !== undefined) return mapped;
  if (!connecting.includes(":")) return connecting.slice(0, 64);
  const [head = "", tail] = connecting.toLowerCase().split("::", 2);
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  const groups = [...front, ...Array<string>(zeros).fill("0"), ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, "").slice(0, 4))
    .join(":")}::/64`;
}
