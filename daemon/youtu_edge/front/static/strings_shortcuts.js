// The texts of the list of keyboard shortcuts, as in strings.js.

export const shortcutStrings = {
  shortcut_send: { en: "Send the question", zh: "发送问题" },
  shortcut_line: { en: "New line", zh: "换行" },
  shortcut_stop: { en: "Stop the answer", zh: "停止回答" },
  shortcut_edit: { en: "Edit the last question, if the field is empty", zh: "输入框为空时编辑上一个问题" },
  shortcut_question: { en: "To the question", zh: "跳到输入框" },
  shortcut_search: { en: "Search in conversations", zh: "搜索对话" },
  shortcut_new: { en: "New conversation", zh: "新对话" },
  shortcut_regenerate: { en: "New answer to the last question", zh: "重新回答上一个问题" },
  shortcut_copy: { en: "Copy the last answer", zh: "复制上一个回答" },
  shortcut_status: { en: "Status page and back", zh: "打开或关闭状态页" },
  shortcut_settings: { en: "Settings", zh: "设置" },
  shortcut_help: { en: "Show this list", zh: "显示此列表" },
};
