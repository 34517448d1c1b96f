/** The name of a model's file, without its folder and ending. */
export function modelName(model: string): string {
  return model.replace(/^.*[\\/]/, "").replace(/\.(safetensors|ckpt|gguf|pt|pth|sft)$/i, "");
}
