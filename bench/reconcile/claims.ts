/** So many tenants, `burst-0` and on, that all claim from one pool at the same moment. */
export interface Burst {
  readonly poolId: string;
  readonly claims: number;
  /** After which whoever has no container gives up. */
  readonly withinMs: number;
}

export interface Settled {
  /** From the burst to its container, of every tenant that came to have one. */
  readonly ms: readonly number[];
  /** What each was given; one that stands here twice serves two tenants. */
  readonly containers: readonly string[];
  /** How often a claim was refused for capacity, and sent again when the refusal said so. */
  readonly refused: number;
  /** Answers that are neither. */
  readonly odd: readonly string[];
}

/** Claims as clients send them: a refusal with `Retry-After` is sent again then, and nothing else is. */
export async function burst(
  { poolId, claims, withinMs }: Burst,
  headers: Headers,
  call: (request: Request) => Response | Promise<Response>,
): Promise<Settled> {
  const ms: number[] = [];
  const containers: string[] = [];
  const odd: string[] = [];
  let refused = 0;
  const startedAt = Date.now();
  const one = async (index: number): Promise<void> => {
    for (;;) {
      const left = withinMs - (Date.now() - startedAt);
      if (left <= 0) return void odd.push("no container in time");
      const request = new Request(`http://127.0.0.1/api/v1/tenants/burst-${index}/claim?wait=${Math.ceil(left)}ms`, {
        method: "POST",
        headers: { authorization: headers.get("authorization") ?? "", "content-type": "application/json" },
        body: JSON.stringify({ poolId }),
      });
      const response = await call(request);
      const text = await response.text();
      const answer = JSON.parse(text) as { containerId?: string; code?: string; retryAfterMs?: number };
      if ((response.status === 201 || response.status === 200) && answer.containerId) {
        ms.push(Date.now() - startedAt);
        containers.push(answer.containerId);
        return;
      }
      if (answer.code !== "capacity_exhausted" || !answer.retryAfterMs) {
        return void odd.push(`${response.status} ${text.slice(0, 300)}`);
      }
      refused += 1;
      await new Promise((resolve) => setTimeout(resolve, answer.retryAfterMs));
    }
  };
  await Promise.all(Array.from({ length: claims }, (_, index) => one(index)));
  return { ms, containers, refused, odd };
}
