import { swing, tint, type SceneFrame } from "./scene-frame.ts";
import { Random } from "./random.ts";

/** A person who looks into the picture, seen from behind; hair and skirt move with the wind. */
export function paintFigure(frame: SceneFrame): void {
  const { plan, context, width, height } = frame;
  if (plan.figure === "none" || Math.min(width, height) < 96) return;
  const random = new Random(`figure ${frame.seed}`);
  const size = height * (plan.figure === "cat" ? 0.5 : random.between(0.44, 0.54));
  const foot = height * (plan.ground === "city" ? 0.9 : 0.93);
  const x = width * random.pick([0.3, 0.36, 0.62, 0.7]);
  context.save();
  context.translate(x, foot);
  context.scale((random.chance(0.5) ? 1 : -1) * (size / 100), size / 100);
  if (plan.figure === "cat") paintCat(frame);
  else {
    paintShadow(frame);
    paintBody(frame, plan.figure === "girl");
    paintHead(frame, plan.figure === "girl");
  }
  context.restore();
}

function paintShadow(frame: SceneFrame): void {
  const { context } = frame;
  context.fillStyle = "rgba(0, 0, 10, 0.25)";
  context.beginPath();
  context.ellipse(0, 0, 15, 2.4, 0, 0, Math.PI * 2);
  context.fill();
}

/** Everything below is drawn in hundredths of the figure's height, feet at 0, up is negative. */
function paintBody(frame: SceneFrame, isGirl: boolean): void {
  const { context, plan } = frame;
  const wind = swing(frame) * 2;
  const skin = tint(frame, plan.light === "night" ? "#a992b8" : "#f3cdb5");
  const cloth = tint(frame, plan.cloth);
  const dark = tint(frame, plan.palette.ink);
  context.fillStyle = isGirl ? skin : dark;
  for (const side of [-1, 1]) {
    fillPath(frame, [
      ["M", side * 1.2, -42],
      ["L", side * 6.2, -42],
      ["Q", side * 5.4, -20, side * 4.8, -3],
      ["L", side * 1.8, -3],
      ["Q", side * 1.2, -22, side * 1.2, -42],
    ]);
  }
  context.fillStyle = dark;
  for (const side of [-1, 1]) {
    if (isGirl) context.fillRect(side === -1 ? -5.2 : 1.5, -19, 3.7, 16);
    context.beginPath();
    context.ellipse(side * 3.5, -1.6, 3, 1.8, 0, 0, Math.PI * 2);
    context.fill();
  }
  if (isGirl) {
    context.fillStyle = dark;
    fillPath(frame, [
      ["M", -6.2, -54],
      ["L", 6.2, -54],
      ["Q", 9 + wind * 0.5, -44, 12.5 + wind, -34],
      ["Q", 4 + wind, -31, 0, -33],
      ["Q", -6, -31, -12 + wind, -34.5],
      ["Q", -8.5, -45, -6.2, -54],
    ]);
  }
  context.fillStyle = cloth;
  fillPath(frame, [
    ["M", -8.4, -74],
    ["Q", 0, -78.5, 8.4, -74],
    ["Q", 7.2, -62, 6.6, isGirl ? -52 : -40],
    ["L", -6.6, isGirl ? -52 : -40],
    ["Q", -7.2, -62, -8.4, -74],
  ]);
  for (const side of [-1, 1]) {
    fillPath(frame, [
      ["M", side * 6.6, -75],
      ["Q", side * 10.6, -74, side * 11, -64],
      ["Q", side * 11.6, -54, side * 10.4, -46],
      ["L", side * 7.8, -46],
      ["Q", side * 8, -58, side * 6.2, -68],
    ]);
  }
  context.fillStyle = skin;
  for (const side of [-1, 1]) {
    context.beginPath();
    context.ellipse(side * 9.1, -44.6, 1.5, 2, 0, 0, Math.PI * 2);
    context.fill();
  }
  context.fillStyle = dark;
  fillPath(frame, [
    ["M", -7.8, -75.5],
    ["Q", 0, -71, 7.8, -75.5],
    ["L", 6.2, -68.5],
    ["Q", 0, -66.5, -6.2, -68.5],
  ]);
}

function paintHead(frame: SceneFrame, isGirl: boolean): void {
  const { context, plan } = frame;
  const wind = swing(frame) * 3 + 4;
  const hair = tint(frame, plan.hair);
  context.fillStyle = tint(frame, plan.light === "night" ? "#a992b8" : "#f3cdb5");
  context.fillRect(-1.8, -79, 3.6, 6);
  context.fillStyle = hair;
  context.beginPath();
  context.ellipse(0, -87, 8, 9, 0, 0, Math.PI * 2);
  context.fill();
  if (isGirl) {
    fillPath(frame, [
      ["M", -7.9, -89],
      ["Q", -10, -72, -8.4 + wind * 0.4, -56],
      ["Q", -4 + wind * 0.8, -52, 1 + wind, -54],
      ["Q", 5 + wind, -51, 10 + wind * 1.6, -56],
      ["Q", 10.2, -74, 7.9, -89],
    ]);
    for (const [from, to] of [
      [6, 17],
      [4, 12],
    ] as const) {
      fillPath(frame, [
        ["M", from, -78],
        ["Q", from + 6 + wind, -70, to + wind * 2.4, -62],
        ["Q", from + 3 + wind, -64, from - 1, -62],
      ]);
    }
  } else {
    fillPath(frame, [
      ["M", -8, -90],
      ["L", -9.6, -80],
      ["L", -6.4, -82],
      ["L", -5, -77.5],
      ["L", -1.5, -80],
      ["L", 1, -77],
      ["L", 4, -80],
      ["L", 6.6, -78],
      ["L", 9.4, -81.5],
      ["L", 8, -90],
    ]);
  }
  context.strokeStyle = tint(frame, plan.palette.glow, 0.5);
  context.lineWidth = 1.1;
  context.lineCap = "round";
  context.beginPath();
  context.arc(0, -87.5, 6.2, Math.PI * 1.12, Math.PI * 1.62);
  context.stroke();
  if (!isGirl) return;
  context.fillStyle = tint(frame, "#e2405f");
  for (const side of [-1, 1]) {
    fillPath(frame, [
      ["M", 0, -95],
      ["L", side * 5.6, -98.6],
      ["L", side * 5.2, -92.4],
    ]);
  }
}

function paintCat(frame: SceneFrame): void {
  const { context, plan } = frame;
  const tail = swing(frame) * 6;
  const fur = tint(frame, plan.hair);
  context.fillStyle = fur;
  context.beginPath();
  context.ellipse(0, -14, 12, 15, 0, 0, Math.PI * 2);
  context.ellipse(0, -35, 9, 8, 0, 0, Math.PI * 2);
  context.fill();
  for (const side of [-1, 1]) {
    fillPath(frame, [
      ["M", side * 8.4, -36],
      ["L", side * 8.8, -48],
      ["L", side * 2, -42],
    ]);
  }
  context.strokeStyle = fur;
  context.lineWidth = 4;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(9, -5);
  context.quadraticCurveTo(24, -6, 22 + tail, -24);
  context.stroke();
}

type Step = readonly ["M" | "L", number, number] | readonly ["Q", number, number, number, number];

function fillPath(frame: SceneFrame, steps: readonly Step[]): void {
  const { context } = frame;
  context.beginPath();
  for (const step of steps) {
    if (step.length === 5) context.quadraticCurveTo(step[1], step[2], step[3], step[4]);
    else if (step[0] === "M") context.moveTo(step[1], step[2]);
    else context.lineTo(step[1], step[2]);
  }
  context.closePath();
  context.fill();
}
