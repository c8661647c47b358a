import { concat, tarEnd, tarHeader, tarPadding } from "../runtime/tar-header.ts";

/** What a claim delivers into a container (docs/container.md, "The claim tar"). An absent part is not touched there. */
export interface ClaimParcel {
  /** Becomes config.json; any JSON value. */
  config?: unknown;
  /** Added to the workload's environment; a running workload is restarted for it. */
  environment?: Record<string, string>;
  /** File contents by name. */
  secrets?: Record<string, string>;
  /** What the workload knows the proxy by. */
  gatewayToken?: string;
  /** A workload that starts on its claim waits until it is started. */
  hold?: true;
  /** What becomes of the state directory: restored from a bundle, or created empty. Absent: there is none. */
  state?: { restore: { path: string; files: number; bytes: number } } | "fresh";
}

const encoder = new TextEncoder();

/** The tar in memory. @throws TypeError for a name or value that the format cannot carry */
export function claimTar(parcel: ClaimParcel): Uint8Array<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  const add = (name: string, text: string) => {
    const body = encoder.encode(text);
    const head = { name, type: "0", mode: 0o400, uid: 0, gid: 0, size: body.length, mtime: 0 } as const;
    chunks.push(tarHeader(head), body, new Uint8Array(tarPadding(body.length)));
  };
  if (parcel.config !== undefined) add("config.json", JSON.stringify(parcel.config));
  const environment = Object.entries(parcel.environment ?? {});
  if (environment.length > 0) add("env", environment.map(variable).join(""));
  for (const [name, value] of Object.entries(parcel.secrets ?? {})) add(`secrets/${fileName(name)}`, value);
  if (parcel.gatewayToken !== undefined) add("gateway-token", parcel.gatewayToken);
  if (parcel.hold) add("hold", "");
  if (parcel.state === "fresh") add("fresh", "");
  else if (parcel.state) add("restore", restoreLine(parcel.state.restore));
  chunks.push(tarEnd());
  return concat(chunks);
}

function variable([name, value]: [string, string]): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new TypeError(`${name} is not the name of a variable`);
  if (value.includes("\0")) throw new TypeError(`the value of ${name} has a NUL character`);
  return `${name}=${value}\0`;
}

function fileName(name: string): string {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,90}$/.test(name)) throw new TypeError(`${name} is not the name of a secret`);
  return name;
}

function restoreLine({ path, files, bytes }: { path: string; files: number; bytes: number }): string {
  if (!/^[A-Za-z0-9._/-]+$/.test(path)) throw new TypeError(`${path} is not the path of a bundle`);
  return `${path} ${files} ${bytes}\n`;
}
