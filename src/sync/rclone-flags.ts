/**
 * Options of rclone that a sync spec may add: what tunes a transfer. Everything that names another place, reads a file,
 * runs a command, or takes a guard away is not here. Each with the form of its value, and where rclone's remote control
 * has it: in its `main` options, in its filter, in the remote itself, or (a rate) in a call of its own.
 */
type Form = RegExp | null;
type Place = "config" | "filter" | "remote" | "rate";

const SIZE = /^\d{1,6}[KMG]?i?$/i;
const COUNT = /^[1-9]\d{0,2}$/;
const DELETES = /^\d{1,9}$/;
const DURATION = /^\d{1,6}(?:ms|s|m|h)$/;

const ALLOWED: Readonly<Record<string, readonly [form: Form, place: Place, key: string]>> = {
  "--transfers": [COUNT, "config", "Transfers"],
  "--checkers": [COUNT, "config", "Checkers"],
  "--bwlimit": [SIZE, "rate", "rate"],
  "--buffer-size": [SIZE, "config", "BufferSize"],
  "--max-size": [SIZE, "filter", "MaxSize"],
  "--min-size": [SIZE, "filter", "MinSize"],
  "--max-age": [DURATION, "filter", "MaxAge"],
  "--min-age": [DURATION, "filter", "MinAge"],
  "--max-delete": [DELETES, "config", "MaxDelete"],
  "--max-depth": [COUNT, "config", "MaxDepth"],
  "--low-level-retries": [COUNT, "config", "LowLevelRetries"],
  "--modify-window": [DURATION, "config", "ModifyWindow"],
  "--checksum": [null, "config", "CheckSum"],
  "--fast-list": [null, "config", "UseListR"],
  "--ignore-existing": [null, "config", "IgnoreExisting"],
  "--size-only": [null, "config", "SizeOnly"],
  "--update": [null, "config", "UpdateOlder"],
  "--s3-chunk-size": [SIZE, "remote", "chunk_size"],
  "--s3-upload-cutoff": [SIZE, "remote", "upload_cutoff"],
  "--s3-upload-concurrency": [COUNT, "remote", "upload_concurrency"],
  "--s3-storage-class": [/^[A-Z_]{1,32}$/, "remote", "storage_class"],
};

/** What is wrong with `--name` or `--name=value`; null for one that may be used. Pure. */
export function flagProblem(flag: string): string | null {
  const [name = "", ...rest] = flag.split("=");
  const known = Object.hasOwn(ALLOWED, name) ? ALLOWED[name] : undefined;
  if (!known) return `is not an option that may be added; there are ${Object.keys(ALLOWED).join(", ")}`;
  const [form] = known;
  if (form === null) return rest.length === 0 ? null : `${name} takes no value`;
  return form.test(rest.join("=")) ? null : `needs a value, as in ${name}=${EXAMPLES.get(form) ?? "1"}`;
}

const EXAMPLES = new Map([
  [SIZE, "16Mi"],
  [COUNT, "8"],
  [DURATION, "30s"],
]);

/** Options by where they go. */
export interface ExtraFlags {
  config: Readonly<Record<string, unknown>>;
  filter: Readonly<Record<string, unknown>>;
  remote: Readonly<Record<string, string>>;
  /** Of all transfers together; null: as fast as can be. */
  rate: string | null;
}

/** Options that `flagProblem` has nothing against, as a call of the remote control says them; others are left out. Pure. */
export function extraFlags(flags: readonly string[]): ExtraFlags {
  const config: Record<string, unknown> = {};
  const filter: Record<string, unknown> = {};
  const remote: Record<string, string> = {};
  let rate: string | null = null;
  for (const flag of flags) {
    const cut = flag.indexOf("=");
    const known = ALLOWED[cut === -1 ? flag : flag.slice(0, cut)];
    if (!known || flagProblem(flag) !== null) continue;
    const [form, place, key] = known;
    const text = flag.slice(cut + 1);
    if (place === "rate") rate = text;
    else if (place === "remote") remote[key] = text;
    else (place === "config" ? config : filter)[key] = typed(form, text);
  }
  return { config, filter, remote, rate };
}

function typed(form: Form, text: string): boolean | number | string {
  if (form === null) return true;
  return form === COUNT || form === DELETES ? Number(text) : text;
}
