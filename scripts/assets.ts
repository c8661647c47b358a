import { prepareAssets } from "./stack/assets.ts";

/** What the Worker serves as files, into the directory that wrangler.jsonc names: for `npm run deploy` and by hand. */
prepareAssets();
