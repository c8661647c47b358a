import { must } from "../../scripts/command.ts";

/** MB per second of one object through the gateway, read from inside its container as its own root may. */
export async function download(container: string, key: string, bytes: number): Promise<number> {
  const curl = [
    "curl -q -sS --fail --max-time 120 -o /dev/null",
    "-H @/run/boilerhouse/private/headers",
    `-w '%{size_download} %{time_total}' 'http://sink.internal/state/${key}'`,
  ].join(" ");
  const printed = await must("docker", ["exec", "-u", "root", container, "sh", "-c", curl]);
  const [size, seconds] = printed.split(" ").map(Number);
  if (size !== bytes || seconds === undefined) throw new Error(`${key} has ${size} bytes instead of ${bytes}`);
  return bytes / 1e6 / seconds;
}
