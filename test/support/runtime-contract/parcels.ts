import { createHash } from "node:crypto";
import { epoch } from "../../../src/ids.ts";
import { type ClaimParcel, claimTar } from "../../../src/instance/claim-tar.ts";
import { type TarInput, writeTar } from "../../../src/runtime/simulated/tar.ts";
import { type Booted, value } from "./harness.ts";

const CLAIM_LIMIT_MS = 30_000;

export const claim = ({ control }: Booted, parcel: ClaimParcel, number = 1) =>
  control.claim(epoch(number), claimTar(parcel), CLAIM_LIMIT_MS);

export async function claimFresh(booted: Booted): Promise<void> {
  value(await claim(booted, { state: "fresh" }));
}

export interface BundleFile {
  path: string;
  body: string;
  mode?: number;
}

/** A restore bundle as the gateway sends it (docs/container.md): tree, parts, sums. */
export function aBundle(files: readonly BundleFile[], damage: { sum?: string } = {}): Uint8Array<ArrayBuffer> {
  const owner = { uid: 10001, gid: 10001, mtime: 981_173_106 };
  const encode = (text: string) => new TextEncoder().encode(text);
  const entries: TarInput[] = [{ ...owner, name: "tree/", type: "5", mode: 0o750 }];
  entries.push({ ...owner, name: "tree/empty/", type: "5", mode: 0o700 });
  for (const { path, body, mode = 0o640 } of files) {
    entries.push({ ...owner, name: `tree/${path}`, type: "0", mode, body: encode(body) });
  }
  entries.push({ ...owner, name: "tree/link", type: "2", mode: 0o777, linkName: files[0]?.path ?? "nowhere" });
  const sums = files.map(({ path, body }) => `${damage.sum ?? sha256(body)}  ${path}\n`).join("");
  const own = { uid: 0, gid: 0, mtime: 0, mode: 0o600, type: "0" } as const;
  entries.push({ ...own, name: "parts", body: encode(files.map((file) => partsLine(file)).join("")) });
  entries.push({ ...own, name: "sums", body: encode(sums) });
  return writeTar(entries);
}

/** What a claim says of the bundle: its symlink counts as a file. */
export const orderOf = (files: readonly BundleFile[], path = ".bundle/1.tar") => ({
  restore: { path, files: files.length + 1, bytes: files.reduce((sum, { body }) => sum + body.length, 0) },
});

const PART = 4;
function partsLine({ path, body }: BundleFile): string {
  let parts = "";
  for (let offset = 0; offset < body.length; offset += PART) parts += `${sha256(body.slice(offset, offset + PART))}\n`;
  return `${PART} ${sha256(parts)} ${path}\n`;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
