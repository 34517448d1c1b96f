import { type InputSpec } from "./object-info.ts";

/**
 * The options of inputs that Genga knows, and what they mean for a value: the options of ComfyUI 0.3.64 and 0.28.0, and
 * the options that node packs write for their own scripts in the editor. An option that is not listed here may change
 * how the server judges the value, so Genga then leaves a refusal by list or range to the server.
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
