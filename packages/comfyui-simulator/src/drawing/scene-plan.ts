import { type Scene } from "./picture.ts";
import { Random } from "./random.ts";

type Light = "day" | "dawn" | "sunset" | "night";
type Ground = "hills" | "mountains" | "city" | "ocean" | "forest" | "space";
type Drift = "petals" | "snow" | "rain" | "fireflies" | "leaves" | "bubbles" | "dust";

/** Colours of one picture, back to front. */
interface Palette {
  readonly sky: readonly [string, string, string];
  readonly glow: string;
  readonly cloud: string;
  readonly cloudShade: string;
  readonly land: readonly [string, string, string];
  readonly ink: string;
}

/** The content of a picture. The words of the prompt decide it, and the seed decides what the words leave open. */
export interface ScenePlan {
  readonly light: Light;
  readonly ground: Ground;
  readonly drift: Drift;
  readonly palette: Palette;
  readonly figure: "girl" | "boy" | "cat" | "none";
  readonly hair: string;
  readonly cloth: string;
  /** Turn of the colour wheel that a checkpoint gives everything, in degrees. */
  readonly hue: number;
}

const lightWords: readonly [Light, RegExp][] = [
  ["night", /\b(night|midnight|moon\w*|star(s|ry|light)?|galaxy|neon|dark)\b/i],
  ["sunset", /\b(sunset|dusk|twilight|evening|golden hour|autumn|fire)\b/i],
  ["dawn", /\b(dawn|sunrise|morning|pastel|spring|sakura|cherry)\b/i],
  ["day", /\b(day|noon|summer|sunny|blue sky|bright|snow\w*|winter)\b/i],
];

const groundWords: readonly [Ground, RegExp][] = [
  ["space", /\b(space|galaxy|planet|nebula|cosmic)\b/i],
  ["city", /\b(city|street|tokyo|town|neon|cyber\w*|skyline|rooftop|mecha|robot)\b/i],
  ["ocean", /\b(ocean|sea|beach|waves?|ship|mermaid|island|lake|river)\b/i],
  ["forest", /\b(forest|woods?|tree|shrine|garden|jungle)\b/i],
  ["mountains", /\b(mountains?|snow\w*|fuji|valley|castle|dragon|winter)\b/i],
  ["hills", /\b(hills?|field|meadow|grass\w*|flowers?|village)\b/i],
];

const driftWords: readonly [Drift, RegExp][] = [
  ["petals", /\b(sakura|cherry|petals?|blossoms?|spring|flowers?)\b/i],
  ["snow", /\b(snow\w*|winter|ice|frozen)\b/i],
  ["rain", /\b(rain\w*|storm|umbrella)\b/i],
  ["leaves", /\b(autumn|leaves|maple|wind)\b/i],
  ["bubbles", /\b(underwater|bubbles?|mermaid|ocean|sea)\b/i],
  ["fireflies", /\b(firefl\w+|lantern\w*|magic\w*|fantasy|night|spirit)\b/i],
];

const figureWords: readonly [ScenePlan["figure"], RegExp][] = [
  ["girl", /\b(\d*girls?|woman|lady|princess|witch|maid|heroine|schoolgirl|idol)\b/i],
  ["boy", /\b(\d*boys?|man|hero|knight|samurai|prince|warrior|ninja|student)\b/i],
  ["cat", /\b(cats?|kitten|neko)\b/i],
  ["none", /\b(landscape|scenery|no humans|background|still life)\b/i],
];

const palettes: Readonly<Record<Light, readonly [Palette, ...Palette[]]>> = {
  day: [
    {
      sky: ["#1f7fd6", "#69b7f0", "#d8f1fb"],
      glow: "#fffbe6",
      cloud: "#ffffff",
      cloudShade: "#b9d7ee",
      land: ["#8fc3d8", "#5fae7b", "#2f7d52"],
      ink: "#16344a",
    },
    {
      sky: ["#3565c9", "#7fa8ee", "#f3e7f2"],
      glow: "#fff6dd",
      cloud: "#fffaf6",
      cloudShade: "#c6c9ec",
      land: ["#93aee0", "#6fb39a", "#3d7f63"],
      ink: "#1d2a52",
    },
  ],
  dawn: [
    {
      sky: ["#8fa8e8", "#f6b8c8", "#ffe9cf"],
      glow: "#fff4d2",
      cloud: "#fff5f3",
      cloudShade: "#eeb3c5",
      land: ["#c3a6cf", "#a184b8", "#6d5590"],
      ink: "#41305f",
    },
    {
      sky: ["#6fb7d8", "#c9e3e0", "#ffd9d6"],
      glow: "#fff8e8",
      cloud: "#ffffff",
      cloudShade: "#f0c4cd",
      land: ["#a9cbd0", "#86b3a2", "#4f8272"],
      ink: "#2c4a52",
    },
  ],
  sunset: [
    {
      sky: ["#3a2a6d", "#d9567c", "#ffb45e"],
      glow: "#ffe8a3",
      cloud: "#ffcf9e",
      cloudShade: "#b54b7d",
      land: ["#8c4a7c", "#5b3068", "#2b1a42"],
      ink: "#1a1030",
    },
    {
      sky: ["#24457f", "#ef7f5a", "#ffd98a"],
      glow: "#fff0bd",
      cloud: "#ffd9b0",
      cloudShade: "#c9605f",
      land: ["#a35f66", "#6b3f57", "#33203a"],
      ink: "#20142b",
    },
  ],
  night: [
    {
      sky: ["#070b26", "#1b2a63", "#4a4f9c"],
      glow: "#eaf1ff",
      cloud: "#5d6bb0",
      cloudShade: "#2b3675",
      land: ["#33417f", "#1f2a5c", "#0d1433"],
      ink: "#060917",
    },
    {
      sky: ["#0a0a24", "#2c1f5e", "#7a3b86"],
      glow: "#ffe9fb",
      cloud: "#7b5aa8",
      cloudShade: "#3a2568",
      land: ["#4b2f7a", "#2c1c55", "#120b2b"],
      ink: "#07040f",
    },
  ],
};

/** Finds in a prompt the things that can be drawn; the seed decides the rest. */
export function planScene(scene: Scene): ScenePlan {
  const random = new Random(`plan ${scene.seed} ${scene.prompt}`);
  const light = wordOf(lightWords, scene.prompt) ?? random.pick<Light>(["day", "dawn", "sunset", "night"]);
  const ground =
    wordOf(groundWords, scene.prompt) ?? random.pick<Ground>(["hills", "mountains", "city", "ocean"]);
  const usual: Readonly<Record<Light, Drift>> = {
    day: "dust",
    dawn: "petals",
    sunset: "leaves",
    night: "fireflies",
  };
  return {
    light,
    ground,
    drift: wordOf(driftWords, scene.prompt) ?? usual[light],
    palette: random.pick(palettes[light]),
    figure: wordOf(figureWords, scene.prompt) ?? (random.chance(0.6) ? "girl" : "none"),
    hair:
      hairOf(scene.prompt) ?? random.pick(["#2b2233", "#6b3f2a", "#d9b26a", "#c8d3ea", "#e88ba8", "#3f5fa8"]),
    cloth: random.pick(["#f4f1f8", "#27345e", "#b8334f", "#2f6f6a", "#6d4aa0"]),
    hue: new Random(`style ${scene.checkpoint}`).whole(-14, 14),
  };
}

function wordOf<T>(words: readonly [T, RegExp][], text: string): T | undefined {
  return words.find(([, pattern]) => pattern.test(text))?.[0];
}

const hairColors: readonly [string, RegExp][] = [
  ["#e9c46a", /\bblonde?\b/i],
  ["#d6deef", /\b(silver|white) hair/i],
  ["#ef8fb3", /\bpink hair/i],
  ["#4a78d0", /\bblue hair/i],
  ["#b8303a", /\bred hair/i],
  ["#7a4fc0", /\bpurple hair/i],
  ["#3f9d6b", /\bgreen hair/i],
  ["#1d1a26", /\bblack hair/i],
  ["#6b4027", /\bbrown hair/i],
];

function hairOf(prompt: string): string | undefined {
  return wordOf(hairColors, prompt);
}
