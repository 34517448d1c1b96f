import { type InputSpec } from "./object-info.ts";

/**
 * The options of inputs that Genga knows, and what they mean for a value: those of ComfyUI 0.3.64 and 0.28.0, and those
 * by which node packs tell their own scripts in the editor something. An option that is not among them may well say
 * that the server judges the value otherwise, so a refusal by list or range is then left to the server.
 */
const knownOptions = new Set(
  `advanced audio_upload animated_image_upload component control_after_generate control_after_refresh default
   defaultInput default_input disable display display_name dynamicPrompts extra_dict file_upload folder forceInput
   force_input formats gradient_stops hidden image_folder image_upload input inputs label label_off label_on lazy max
   maxlength min multi_select multiline multiselect name optional options placeholder precision rawLink remote
   remote_combo round rows show_midpoint slotType socketless step template text title tooltip type upload
   upload_to_folder values video_upload widget widgetType`.split(/\s+/),
);

/** Options with the mark of a pack (`pysssss.autocomplete`, `vhs_path_extensions`, `$group`) are for its own scripts. */
const optionOfPack = /^(vhs_|kj_|rgthree|cm_|easy_|impact)|[.$]/i;

/** The options of an input that may change how a server judges its values, in a way that Genga does not know. */
export function unknownOptionsOf([, options = {}]: InputSpec): string[] {
  return Object.keys(options).filter((option) => !knownOptions.has(option) && !optionOfPack.test(option));
}
