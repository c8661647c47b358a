/**
 * What secrets look like in text. Every pattern takes time linear in the text: what repeats is one class of characters
 * that is bounded or cannot fail, or it begins with a literal that the run itself cannot contain. A property test holds
 * them to that.
 */
export const REDACTED = "[redacted]";

const HEADERS = "authorization|cookie|x-api-key|x-auth-token|cf-access-jwt-assertion|cf-access-client-secret";
const NAMES =
  "passw(?:or)?d|passphrase|pwd|secret(?:s?[-_]?(?:access[-_]?)?key)?|token|api[-_]?key|access[-_]?key(?:[-_]?id)?|private[-_]?key|credentials?|signature";
const PARAMETERS =
  "x-amz-(?:signature|credential|security-token)|sig|signature|(?:access_|refresh_|id_)?token|key|api_key|code|ticket|secret|password";

const STRING = '"(?:[^"\\\\]|\\\\[\\s\\S])*"?';
/** In quotes (also without the last one, or with escaped ones). */
const QUOTED = `${STRING}|'[^']*'?|\\\\{1,4}"[^"\\\\]*`;
/** Up to what separates members. */
const BARE = `[^\\s"'\\\\&,;{}[\\]][^\\s"'\\\\&,;]*`;
const IS = `\\\\{0,4}["']?\\s{0,8}[:=]\\s{0,8}`;

const privateKey = /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}-----|$)/g;
const secrets = new RegExp(`("secrets"\\s{0,8}:\\s{0,8})\\{(?:${STRING}|[^"}])*\\}?`, "gi");
const header = new RegExp(`((?:${HEADERS})${IS})(${QUOTED}|[^\\s"'\\\\[][^\\r\\n"'\\\\]*)`, "gi");
const pair = new RegExp(`((?:${NAMES})${IS})(${QUOTED}|${BARE})`, "gi");
const key = new RegExp(`(\\bkey=|"key\\\\{0,4}"\\s{0,8}:\\s{0,8})(${QUOTED}|${BARE})`, "gi");
const prefixed = /\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k[-_])[\w-]{16,}/g;
const parameter = new RegExp(`([?&](?:${PARAMETERS})=)[^&#\\s"'<>[]+`, "gi");

interface Pattern {
  /** Cheap, and true of every text that has one: most texts have none of anything. */
  needs: RegExp;
  replace: (text: string) => string;
}

const ASSIGNMENT = /[:=]/;

/** In the order in which they apply: whole structures first, then what is left of single tokens. */
export const PATTERNS: readonly Pattern[] = [
  { needs: /-----BEGIN/, replace: (text) => text.replace(privateKey, REDACTED) },
  { needs: ASSIGNMENT, replace: (text) => text.replace(secrets, `$1"${REDACTED}"`) },
  { needs: ASSIGNMENT, replace: (text) => text.replace(header, hidden) },
  { needs: /\s/, replace: (text) => text.replace(/\b(bearer\s{1,8})([\w.~+/=-]{8,})/gi, bearer) },
  { needs: /\s/, replace: (text) => text.replace(/\b(basic\s{1,8})([a-z0-9+/]{8,}={0,2})/gi, basic) },
  { needs: /@/, replace: (text) => text.replace(/:\/\/[^\s/?#"'<>]*@/g, `://${REDACTED}@`) },
  { needs: /[?&]/, replace: (text) => text.replace(parameter, `$1${REDACTED}`) },
  { needs: ASSIGNMENT, replace: (text) => text.replace(pair, hidden) },
  { needs: ASSIGNMENT, replace: (text) => text.replace(key, hidden) },
  { needs: /bh_/, replace: (text) => text.replace(/bh_[\w-]{8,}/g, `bh_${REDACTED}`) },
  { needs: /[_-][\w-]{16}/, replace: (text) => text.replace(prefixed, REDACTED) },
  { needs: /eyJ|[A-Za-z0-9+/]{20}/, replace: (text) => text.replace(/[\w.+/=~-]+/g, token) },
];

/** What a value may be and still tell nothing; `<key>` stands for one in a sentence about keys. */
const HARMLESS =
  /^["']?(?:null|true|false|undefined|none|\[redacted\]|\[secret\]|\d{1,3}|(?:bearer )?<[a-z]+>.*|)["']?$/i;

function hidden(_: string, before: string, value: string): string {
  if (HARMLESS.test(value)) return before + value;
  const quote = /^\\{0,4}["']/.exec(value)?.[0] ?? "";
  const closed = quote.length === 1 && value.length > 1 && value.endsWith(quote);
  return before + quote + REDACTED + (closed ? quote : "");
}

/** Words follow `bearer` too; credentials are long or have digits. */
const bearer = (all: string, word: string, credential: string): string =>
  credential.length >= 16 || /\d/.test(credential) ? word + REDACTED : all;

function basic(all: string, word: string, credential: string): string {
  try {
    return atob(credential).includes(":") ? word + REDACTED : all;
  } catch {
    return all;
  }
}

/** One run of the characters that tokens are made of. */
function token(run: string): string {
  const jwt = run.indexOf("eyJ");
  if (jwt >= 0 && run.includes(".", jwt)) return run.slice(0, jwt) + REDACTED;
  return run
    .replace(/(?<![A-Z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Z0-9])/g, REDACTED)
    .replace(/[a-z0-9+/]+/gi, awsSecret);
}

/** AWS's secret keys are 40 characters of base64; a commit's hash has no capitals, a path more slashes. */
const awsSecret = (run: string): string =>
  run.length === 40 && /[a-z]/.test(run) && /[A-Z]/.test(run) && /\d/.test(run) && run.split("/").length <= 4
    ? REDACTED
    : run;
