/// <reference types="@cloudflare/vitest-plugin/types" />

interface ImportMeta {
  /** Variables of the command's environment that begin with VITE_. */
  readonly env: Readonly<Record<string, string | undefined>>;
}
