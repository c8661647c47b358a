/** Says what happens now and why it is needed, and how long it took. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  process.stdout.write(`▸ ${title}\n`);
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  if (seconds >= 1) process.stdout.write(`  done in ${seconds.toFixed(1)} s\n`);
  return result;
}

export function note(text: string): void {
  process.stdout.write(`  ${text}\n`);
}

/** A problem that its message alone explains to whoever runs the command: shown without a stack, exit code 1. */
export class Unusable extends Error {}

/** Runs a command's main function; every failure ends in exit code 1. */
export async function main(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (problem) {
    console.error(problem instanceof Unusable ? problem.message : problem);
    process.exitCode = 1;
  }
}
