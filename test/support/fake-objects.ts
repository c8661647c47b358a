/** Objects, D1 and R2 as whoever asks them has them: `objects` by binding and name, with the methods that are called. */
interface Fakes {
  objects?: Record<string, (name: string) => object>;
  rows?: (sql: string, values: unknown[]) => object[] | Promise<object[]>;
  bucket?: object;
}

/** An `Env` of which only that is there; everything else that is asked throws. */
export function fakeEnv({ objects = {}, rows = () => [], bucket = {} }: Fakes): Env {
  const statement = (sql: string, values: unknown[] = []) => ({
    bind: (...bound: unknown[]) => statement(sql, bound),
    all: async () => ({ results: await rows(sql, values) }),
    first: async () => (await rows(sql, values))[0] ?? null,
  });
  const DB = {
    prepare: (sql: string) => statement(sql),
    batch: (statements: ReturnType<typeof statement>[]) => Promise.all(statements.map((one) => one.all())),
  };
  const named = Object.entries(objects).map(([binding, getByName]) => [binding, { getByName }]);
  return { DB, BUCKET: bucket, ...Object.fromEntries(named) } as unknown as Env;
}

/** What answers with an error, as an object does that was reset. */
export const unreachable = async (): Promise<never> => {
  throw new Error("The object was reset.");
};
