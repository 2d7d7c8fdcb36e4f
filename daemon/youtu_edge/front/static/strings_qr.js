// The texts of the dialog with the QR code, as in strings.js.

export const qrStrings = {
  qrText: { en: "Scan this with the camera of a phone in the same network.", zh: "请用同一网络中的手机相机扫描。" },
  addressText: { en: "Open this address on a phone in the same network.", zh: "请在同一网络中的手机上打开此地址。" },
  qrKey: { en: "With the key: whoever scans it may use this device", zh: "包含密钥：扫码者即可使用本设备" },
};
