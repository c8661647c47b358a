/** What to claim from inside: `callers` at once, each claiming fresh tenants one after the other. */
export interface Drive {
  readonly prefix: string;
  readonly pools: readonly string[];
  readonly claims: number;
  readonly callers: number;
}

export interface Driven {
  /** Of every claim. */
  readonly ms: readonly number[];
  readonly totalMs: number;
  /** Answers other than a warm claim, as text; none are expected. */
  readonly odd: readonly string[];
}

/** Claims through the Worker's own handler: authentication, validation, objects and answer, but no connection. */
export async function drive(
  { prefix, pools, claims, callers }: Drive,
  headers: Headers,
  call: (request: Request) => Response | Promise<Response>,
): Promise<Driven> {
  const ms: number[] = [];
  const odd: string[] = [];
  let next = 0;
  const one = async () => {
    for (let index = next++; index < claims; index = next++) {
      const request = new Request(`http://127.0.0.1/api/v1/tenants/${prefix}-${index}/claim?wait=60s`, {
        method: "POST",
        headers: { authorization: headers.get("authorization") ?? "", "content-type": "application/json" },
        body: JSON.stringify({ poolId: pools[index % pools.length] }),
      });
      const startedAt = performance.now();
      const response = await call(request);
      const text = await response.text();
      ms.push(performance.now() - startedAt);
      if (response.status !== 201 || !text.includes('"warm"')) odd.push(`${response.status} ${text.slice(0, 300)}`);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: callers }, one));
  return { ms, totalMs: performance.now() - startedAt, odd: odd.slice(0, 10) };
}
