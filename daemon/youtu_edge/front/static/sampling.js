// How answers are sampled: only the request fields that the person has set; the device's own settings apply to the others.

import { preference, setPreference } from "./preferences.js";

export const sampling = () => preference("sampling");

export function setSampling(name, value) {
  const { [name]: _, ...others } = sampling();
  setPreference("sampling", value === null ? others : { ...others, [name]: value });
}
