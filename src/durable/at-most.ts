/** Performs something for every item, so many at a time, in their order. */
export async function atMost<T>(most: number, items: readonly T[], perform: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await perform(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
}
